export const handler = async () => ({ a: 1n });
