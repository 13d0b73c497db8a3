import os


def handler(event, context):
    if event["Records"][0]["cf"]["request"]["uri"] != "/hostile":
        return {"status": "200", "body": "alive"}
    for number in range(3, 3000):
        try:
            os.write(number, b"\xff" * 64)
        except OSError:
            pass
    while True:
        pass
