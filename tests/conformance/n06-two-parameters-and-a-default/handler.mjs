export const handler = async (event, context, callback = undefined) => "r";
