import sys

sys.exit(3)


def handler(event, context):
    return 1
