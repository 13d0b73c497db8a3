process.on("afterRestore", () => new Promise((resolve) => setTimeout(resolve, 2 ** 30)));

export const handler = async () => ({ status: "200", body: "alive" });
