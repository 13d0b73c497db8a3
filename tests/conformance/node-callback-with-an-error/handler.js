exports.handler = (event, context, callback) => callback(new RangeError("far"));
