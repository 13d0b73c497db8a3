exports.handler = (event, context, callback) => {
  context.callbackWaitsForEmptyEventLoop = false;
  callback(null, "r");
  setTimeout(() => {}, 2500);
};
