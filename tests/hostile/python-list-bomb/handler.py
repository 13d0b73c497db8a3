def handler(event, context):
    if event["Records"][0]["cf"]["request"]["uri"] != "/hostile":
        return {"status": "200", "body": "alive"}
    held = []
    while True:
        held.append(str(len(held)) * 100)
