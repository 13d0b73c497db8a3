import csv


def handler(event, context):
    return csv.MINE
