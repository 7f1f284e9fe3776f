// The three bundlers bundle this.
import { open } from 'ca-embed';

globalThis.opened = open;
