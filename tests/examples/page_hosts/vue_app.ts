// An application around examples/page/vue.vue: a button that mounts and unmounts it, and a list of the confirmed ids.
import { createApp, defineComponent, h, ref } from 'vue';
import ConnectWhatsapp from '../../../examples/page/vue.vue';

const root = document.querySelector<HTMLElement>('#app')!;

const Application = defineComponent(() => {
  const isShown = ref(true);
  const confirmed = ref<string[]>([]);
  const onConfirmed = (id: string) => confirmed.value.push(id);
  return () =>
    h('main', [
      h('button', { id: 'switch', onClick: () => (isShown.value = !isShown.value) }, 'Switch'),
      h('output', confirmed.value.join(' ')),
      isShown.value && h(ConnectWhatsapp, { origin: root.dataset.origin!, onConfirmed }),
    ]);
});

createApp(Application).mount(root);
