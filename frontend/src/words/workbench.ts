/** The workbench's words: `t("lists.mine")`. What both faces say is in shared.ts. */
import { wordsOf } from "./words";
import { en } from "./workbench.en";
import { zh } from "./workbench.zh-CN";

export const t = wordsOf(zh, en);

export type WorkbenchKey = keyof typeof zh;
