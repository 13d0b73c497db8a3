def handler(event, context):
    if event["Records"][0]["cf"]["request"]["uri"] != "/hostile":
        return {"status": "200", "body": "alive"}
    return "x" * (7 << 20)
