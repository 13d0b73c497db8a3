export const handler = async (event, context, callback) => "r";
