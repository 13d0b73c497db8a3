function spin() {
  for (;;);
}

spin();

export const handler = async () => ({ status: "200", body: "alive" });
