export const handler = async () => ({ status: "200", body: "b".repeat(40 * 1024) });
