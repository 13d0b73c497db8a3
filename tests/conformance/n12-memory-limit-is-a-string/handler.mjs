export const handler = async (event, context) => typeof context.memoryLimitInMB;
