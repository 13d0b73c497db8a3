export const handler = async () => ({
  "status": "600"
});
