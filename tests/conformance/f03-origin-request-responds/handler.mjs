export const handler = async () => ({
  "status": "200",
  "body": "hi",
  "headers": {
    "cache-control": [
      {
        "value": "max-age=60"
      }
    ]
  }
});
