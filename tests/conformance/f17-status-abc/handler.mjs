export const handler = async () => ({
  "status": "abc"
});
