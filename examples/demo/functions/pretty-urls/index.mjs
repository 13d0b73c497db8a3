// origin-request: the viewer keeps its short URL, the origin gets a file name.
export const handler = async (event) => {
  const { request } = event.Records[0].cf;
  const last = request.uri.slice(request.uri.lastIndexOf('/') + 1);
  if (last === '') {
    request.uri += 'index.html';
  } else if (!last.includes('.')) {
    request.uri += '/index.html';
  }
  return request;
};
