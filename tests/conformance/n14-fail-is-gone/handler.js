exports.handler = (event, context) => context.fail();
