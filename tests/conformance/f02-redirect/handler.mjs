export const handler = async () => ({
  "status": "302",
  "statusDescription": "Found",
  "headers": {
    "location": [
      {
        "value": "/x"
      }
    ]
  }
});
