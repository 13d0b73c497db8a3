import threading


def spin():
    while True:
        pass


def handler(event, context):
    if event["Records"][0]["cf"]["request"]["uri"] != "/hostile":
        return {"status": "200", "body": "alive"}
    for _ in range(2):
        threading.Thread(target=spin, daemon=True).start()
    return {"status": "200", "body": "left"}
