exports.handler = async (event, context, callback) => {
  callback(null, "a");
  return "b";
};
