def handler(event, context):
    if event["Records"][0]["cf"]["request"]["uri"] != "/hostile":
        return {"status": "200", "body": "alive"}
    for _ in range(40000):
        print("x" * 100)
    return {"status": "200", "body": "flooded"}
