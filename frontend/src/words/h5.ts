/** All words of the employees' page: its own and the shared ones. */
import { en } from "./h5.en";
import { zh } from "./h5.zh-CN";
import { en as sharedEn } from "./shared.en";
import { zh as sharedZh } from "./shared.zh-CN";
import { wordsOf } from "./words";

export const t = wordsOf({ ...sharedZh, ...zh }, { ...sharedEn, ...en });
