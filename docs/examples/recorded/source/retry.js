/** Calls again after a failure; every wait is twice the one before: retries are backed off. */
export async function retryWithBackoff(work, attempts = 5) {
  for (let attempt = 0; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (attempt + 1 >= attempts) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100 * 2 ** attempt));
    }
  }
}
