import "reflect-metadata";
import { readFileSync } from "node:fs";
import {
  BadRequestException,
  Controller,
  Get,
  Inject,
  Injectable,
  Module,
  type OnApplicationShutdown,
  type OnModuleInit,
  Query,
} from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { createTessera, type FlowDocument, type Tessera, TesseraError, updateCodebase } from "@tessera/tessera";

const ask = JSON.parse(readFileSync(new URL("ask.json", import.meta.url), "utf8")) as FlowDocument;

/** Flows as a provider: opened before the application listens, closed when it shuts down. */
@Injectable()
class Flows implements OnModuleInit, OnApplicationShutdown {
  private tessera!: Tessera<{ ask: FlowDocument }>;

  async onModuleInit() {
    const { resources } = await updateCodebase({ root: process.argv[2] ?? ".", folder: ".tessera/ask" });
    this.tessera = await createTessera({ flows: { ask }, resources }).start();
  }

  async ask(query: string) {
    return (await this.tessera.run("ask", { query })).output.answer;
  }

  async onApplicationShutdown() {
    await this.tessera.close({ within: 10_000 });
  }
}

@Controller()
class AskController {
  constructor(@Inject(Flows) private readonly flows: Flows) {}

  @Get("ask")
  async answer(@Query("q") query: string) {
    try {
      return await this.flows.ask(query);
    } catch (error) {
      if (TesseraError.is(error) && error.code === "BAD_INPUT") throw new BadRequestException(error.toJSON());
      throw error;
    }
  }
}

@Module({ controllers: [AskController], providers: [Flows] })
class AskModule {}

const app = await NestFactory.create(AskModule, { logger: ["error"] });
app.enableShutdownHooks();
await app.listen(Number(process.argv[3] ?? 8080), "127.0.0.1");
console.log(await app.getUrl());
