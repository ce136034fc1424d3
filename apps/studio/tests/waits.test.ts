import { expect } from "@jest/globals";
import { needs } from "@tessera/testkit";
import { approval, callOf, describeStudio, hostile } from "./service.fixture.js";

describeStudio("runs that wait, in the studio", { approval }, (own) => {
  const test = needs(true, "");

  test("are found among the runs, and answered by a choice, a form and a signal, each by its type", async () => {
    const opened = await own.studio.open();
    const { page, faults, context } = opened;
    const call = await callOf(own.studio, opened);
    const begun = await call("POST", "/flows/approval/runs", { input: { topic: hostile } });
    expect(begun).toMatchObject({ status: "waiting" });
    await page.reload();
    await page.getByRole("link", { name: /^1 run waits for an answer/ }).click();
    await page.getByRole("link", { name: /^<img src=x/ }).click();
    const asks = (path: string) => page.getByRole("form", { name: path });
    const approve = asks("approval/approve");
    // what is asked about is text
    await approve.getByText(`About ${hostile}.`).waitFor();
    // keys alone: to the choice, to the button
    await approve.getByLabel("Your answer").focus();
    await page.keyboard.type("yes");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await approve.waitFor({ state: "detached" });
    const details = asks("approval/details");
    expect(await details.getByRole("button", { name: "Answer" }).isDisabled()).toBe(true);
    await details.getByLabel("copies").fill("3");
    await details.getByLabel("urgent").check();
    await details.getByLabel("note").fill("by ferry");
    await details.getByRole("button", { name: "Answer" }).click();
    await details.waitFor({ state: "detached" });
    const go = asks("approval/go");
    await go.getByLabel("The signal “go”").fill("now");
    await go.getByRole("button", { name: "Answer" }).click();
    await page.locator(".answer", { hasText: `Sent: About ${hostile}. (by ferry; now)` }).waitFor();
    expect(await call("GET", `/runs/${begun.id}`)).toMatchObject({ status: "done", output: { copies: 3 } });
    // no step ran twice
    await page.getByRole("tab", { name: "Every step" }).click();
    const steps = page.getByRole("listbox", { name: "Steps" });
    await steps.getByRole("option", { name: /^sent/ }).waitFor();
    expect(await steps.getByRole("option").count()).toBe(6);
    expect(await page.evaluate(() => (globalThis as { harmed?: number }).harmed)).toBeUndefined();
    expect(faults).toEqual([]);
    await context.close();
  });

  test("say why an answer is refused, and go on when somebody else has answered", async () => {
    const opened = await own.studio.open();
    const { page, context } = opened;
    const call = await callOf(own.studio, opened);
    const { id } = await call("POST", "/flows/approval/runs", { input: { topic: "tea" } });
    await page.evaluate(`location.hash = "#/runs/${id}"`);
    const approve = page.getByRole("form", { name: "approval/approve" });
    await approve.waitFor();
    await call("POST", `/runs/${id}/waits/${encodeURIComponent("approval/approve")}`, { answer: "no" });
    await approve.getByLabel("Your answer").selectOption("yes");
    await approve.getByRole("button", { name: "Answer" }).click();
    await page.getByRole("alert").filter({ hasText: "CONFLICT" }).waitFor();
    await context.close();
  });
});
