// viewer-request with a callback, the oldest handler style there is.
exports.handler = (event, context, callback) => {
  const { request } = event.Records[0].cf;
  callback(null, {
    status: '302',
    statusDescription: 'Found',
    headers: {
      location: [{ key: 'Location', value: request.uri.replace(/^\/old/, '') || '/' }],
    },
  });
};
