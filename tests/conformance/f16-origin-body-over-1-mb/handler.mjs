export const handler = async () => ({ status: "200", body: "b".repeat(1024 * 1024 + 1) });
