export const handler = (event) => ({
  then(resolve) {
    resolve("t");
  },
});
