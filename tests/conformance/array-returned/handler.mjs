export const handler = async () => ([
  {
    "status": "200"
  }
]);
