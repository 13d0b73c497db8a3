def handler(event, context):
    request = event["Records"][0]["cf"]["request"]
    request["origin"] = {
        "custom": {
            "customHeaders": {"x-env": [{"key": "X-Env", "value": "prod"}]},
            "domainName": "backend.example.org",
            "keepaliveTimeout": 5,
            "path": "/base",
            "port": 8443,
            "protocol": "https",
            "readTimeout": 10,
            "sslProtocols": ["TLSv1.2"],
        }
    }
    request["headers"]["host"] = [{"key": "Host", "value": "backend.example.org"}]
    return request
