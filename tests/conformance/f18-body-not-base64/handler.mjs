export const handler = async () => ({
  "status": "200",
  "bodyEncoding": "base64",
  "body": "***"
});
