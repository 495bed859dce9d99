/* Counts the instructions that a program executes under qemu's user emulation, all threads together, and prints
 * the count so far to standard error whenever the program writes to standard output. A plugin of the dynamic
 * `qemu-user`; the static one takes none.
 *
 *   cc -std=c99 -O2 -shared -fPIC benches/count_instructions.c -o count_instructions.so
 *   qemu-aarch64 -plugin ./count_instructions.so PROGRAM
 *
 * A block of code counts when it is entered: one that an exception leaves early counts too much by its rest. */
#include <stdint.h>
#include <stdio.h>

/* No Debian package holds qemu-plugin.h. These few declarations are the same in versions 1 (qemu 4.2 to 8.2)
 * and 2 (from 9.0) of the interface. */
typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
enum { QEMU_PLUGIN_CB_NO_REGS = 0 };
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                           void (*translated)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *block, void (*entered)(unsigned, void *),
                                          int registers, void *data);
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t id,
                                          void (*called)(qemu_plugin_id_t, unsigned, int64_t, uint64_t, uint64_t,
                                                         uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t));
/* Only version 2 has it. */
__attribute__((weak)) void *qemu_plugin_scoreboard_new(size_t size);

#define EXPORTED __attribute__((visibility("default")))

enum { WRITE = 64, STANDARD_OUTPUT = 1 }; /* Linux's number of the call on aarch64 */

EXPORTED int qemu_plugin_version = 1;
static uint64_t executed;

/* qemu reads the version after it has loaded the plugin, and refuses one that it no longer has. */
__attribute__((constructor)) static void choose_version(void) {
    if (qemu_plugin_scoreboard_new != NULL) {
        qemu_plugin_version = 2;
    }
}

static void enter(unsigned processor, void *instructions) {
    (void)processor;
    __atomic_fetch_add(&executed, (uint64_t)(uintptr_t)instructions, __ATOMIC_RELAXED);
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
    (void)id;
    void *instructions = (void *)(uintptr_t)qemu_plugin_tb_n_insns(block);
    qemu_plugin_register_vcpu_tb_exec_cb(block, enter, QEMU_PLUGIN_CB_NO_REGS, instructions);
}

static void call(qemu_plugin_id_t id, unsigned processor, int64_t number, uint64_t file, uint64_t a2, uint64_t a3,
                 uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
    (void)id, (void)processor, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number == WRITE && file == STANDARD_OUTPUT) {
        fprintf(stderr, "instructions %llu\n", (unsigned long long)__atomic_load_n(&executed, __ATOMIC_RELAXED));
    }
}

EXPORTED int qemu_plugin_install(qemu_plugin_id_t id, const void *qemu, int count, char **arguments) {
    (void)qemu, (void)count, (void)arguments;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
    qemu_plugin_register_vcpu_syscall_cb(id, call);
    return 0;
}
