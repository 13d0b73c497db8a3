import threading
import time


def handler(event, context):
    if event["Records"][0]["cf"]["request"]["uri"] != "/hostile":
        return {"status": "200", "body": "alive"}
    while True:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
