// Links where the library chooses the vector instructions when it runs (FindxxHash.cmake).
#include <xxh_x86dispatch.h>

int main() { return static_cast<int>(XXH3_128bits_dispatch("", 0).low64); }
