export const handler = async () => ({
  "status": "204",
  "body": "x"
});
