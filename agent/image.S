/* The agent's image, as data of the recorder. */
	.section .rodata
	.globl	agent_image, agent_image_end
	.balign 16
agent_image:
	.incbin AGENT_IMAGE
agent_image_end:
	.section .note.GNU-stack, "", @progbits
