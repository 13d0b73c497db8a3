exports.handler = (event, context) => context.done(null, "d");
