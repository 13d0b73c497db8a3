export const handler = async () => ({ status: "200", body: "b".repeat(41 * 1024) });
