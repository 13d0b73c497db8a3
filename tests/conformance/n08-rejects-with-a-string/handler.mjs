export const handler = async () => Promise.reject("x");
