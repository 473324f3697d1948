from lab.photos.bench import main

main()
