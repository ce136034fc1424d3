import type { PortType } from "@tessera/core";
import { type PortValue, portType, schemaOf } from "@tessera/core/internal";
import { z } from "zod";

/** The setting that names the type of a list's elements, so that what is read from the list has a type again. */
export const of = portType.default("any");

export const element = (type: PortType): z.ZodType => schemaOf(type);
export const listOf = (type: PortType): z.ZodType => z.array(schemaOf(type));

/** The TypeScript type of an element; of an unnamed type nothing is known. */
export type Element<T extends PortType> = PortValue<T>;
