const greeting = await Promise.resolve("hi");
export const handler = async () => greeting;
