export const handler = async (event, context) => Object.keys(context).sort();
