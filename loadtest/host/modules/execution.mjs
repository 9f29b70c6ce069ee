// k6/execution
import { current } from "../state.mjs";

export default {
  scenario: {
    get iterationInTest() {
      return current().index;
    },
    get name() {
      return current().name;
    },
  },
};
