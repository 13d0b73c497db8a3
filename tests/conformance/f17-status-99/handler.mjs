export const handler = async () => ({
  "status": "99"
});
