await new Promise((resolve) => setTimeout(resolve, 60000));

export const handler = async () => ({ status: "200", body: "alive" });
