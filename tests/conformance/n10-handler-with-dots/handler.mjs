export const handler = async () => "r";
