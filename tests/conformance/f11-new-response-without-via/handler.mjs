export const handler = async () => ({
  "status": "200",
  "headers": {
    "content-type": [
      {
        "value": "text/plain"
      }
    ]
  }
});
