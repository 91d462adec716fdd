/** Reading what a section holds: absent and of another kind are the same, since strongSwan's versions differ in what they send. */
import { readText, type ViciElement, type ViciSection } from './message.ts';

const EMPTY: ViciSection = new Map();

const isSection = (element: ViciElement | undefined): element is ViciSection => element instanceof Map;

export function textOf(section: ViciSection, key: string): string | undefined {
  const value = section.get(key);
  return Buffer.isBuffer(value) ? readText(value) : undefined;
}

export function bytesOf(section: ViciSection, key: string): Buffer | undefined {
  const value = section.get(key);
  return Buffer.isBuffer(value) ? value : undefined;
}

/** A whole number in decimal; undefined when it is none, or not exact. */
export function numberOf(section: ViciSection, key: string): number | undefined {
  const text = textOf(section, key);
  if (text === undefined || !/^-?\d{1,20}$/.test(text)) return undefined;
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : undefined;
}

export const saysYes = (section: ViciSection, key: string): boolean => textOf(section, key) === 'yes';

export function listOf(section: ViciSection, key: string): string[] {
  const value = section.get(key);
  return Array.isArray(value) ? (value as readonly Buffer[]).map(readText) : [];
}

export function sectionOf(section: ViciSection, key: string): ViciSection {
  const value = section.get(key);
  return isSection(value) ? value : EMPTY;
}

/** The sections within, by name: streamed messages have one, named after what it describes. */
export function sectionsOf(section: ViciSection): [name: string, inner: ViciSection][] {
  return [...section].flatMap(([name, value]): [string, ViciSection][] =>
    isSection(value) ? [[name, value]] : [],
  );
}

/** Plain data, for documents and comparisons: text, lists of text, objects. */
export type PlainSection = { [key: string]: string | string[] | PlainSection };

export function plain(section: ViciSection): PlainSection {
  // Without a prototype: a key may be called `__proto__`.
  const result = Object.create(null) as PlainSection;
  for (const [key, value] of section)
    result[key] = Buffer.isBuffer(value)
      ? readText(value)
      : isSection(value)
        ? plain(value)
        : (value as readonly Buffer[]).map(readText);
  return result;
}
